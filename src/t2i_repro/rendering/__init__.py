"""Rendering: tables and figures beside print, and the HTML report. Only figures need torch."""
