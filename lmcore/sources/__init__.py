"""Where text comes from: files, folders, archives, addresses, datasets; `source` opens any."""
