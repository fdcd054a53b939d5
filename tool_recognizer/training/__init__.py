"""From photographs and journals to a fitted model file; nothing here runs live."""
