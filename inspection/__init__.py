"""Looking at data sets: as picture files, side by side, in a window, as a contact sheet, in numbers; one module each."""
