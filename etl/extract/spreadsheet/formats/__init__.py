"""What each file format of workbooks says that the reader does not: styles, number formats, quirks."""
