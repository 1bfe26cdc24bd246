"""Inspection of data sets: extract, display, contact sheet, summary, comparison."""
