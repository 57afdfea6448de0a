"""Files of any kind become a `Radiograph`."""
