"""The HTML report: records that say what a page shows, figures that draw them, pages that set them."""
