"""What the pages share. Beside ``app.py`` and ``pages/`` this is the only code that imports streamlit."""
