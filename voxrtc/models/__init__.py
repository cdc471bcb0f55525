"""What hears, thinks and speaks, in host processes of their own, reached over one small protocol."""
