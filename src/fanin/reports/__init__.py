"""What people and programs see of a result: terminal, HTML, JSON, SARIF, GitHub annotations. One text in all of them."""
