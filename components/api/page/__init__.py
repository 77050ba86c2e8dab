"""The page at `/`: plain HTML, CSS and modules of JavaScript in `files/`, and how they are served."""
