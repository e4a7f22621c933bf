"""The press: run the notebooks of the book and build the site from them."""
