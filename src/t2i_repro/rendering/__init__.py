"""Tables, figures, the site and the terminal. Only figures of generated images need torch."""
