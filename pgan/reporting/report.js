const slider = document.querySelector('#when'), caption = document.querySelector('#caption');
const pictures = document.querySelectorAll('#fakes img');
function show(number) {
  pictures.forEach((picture, i) => picture.hidden = i != number);
  caption.textContent = pictures[number].alt;
  slider.value = number;
}
if (slider) {
  slider.oninput = () => show(+slider.value);
  // report.html#fakes000123 opens at that picture.
  const wanted = [...pictures].findIndex(picture => '#' + picture.id == location.hash);
  show(wanted >= 0 ? wanted : pictures.length - 1);
  let timer = null;
  document.querySelector('#play').onclick = () => {
    clearInterval(timer);
    let number = 0;
    show(0);
    timer = setInterval(
      () => ++number < pictures.length ? show(number) : clearInterval(timer), 400);
  };
}
