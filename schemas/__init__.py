"""pandera schemas, one file per record type, and presets: the column names that CRMs use."""
