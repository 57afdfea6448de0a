"""How a classifier and a harmonizer learn."""
