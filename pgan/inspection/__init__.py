"""Looking at data sets: as files, in a window, as a contact sheet, in numbers, compared."""
