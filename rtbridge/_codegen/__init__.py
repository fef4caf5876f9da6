"""From the proto files to the generated modules: read (``model``), render (``render_*``), write (``__main__``)."""
