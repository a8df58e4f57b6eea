"""What people see: progress, tables and plots. The only modules that know Rich and matplotlib."""
