"""What people are told: what is due is compared with what was told, and the difference goes out in order."""
