DROP FUNCTION drop_quarantine(date);
DROP FUNCTION close_quarantine(date);
DROP FUNCTION open_quarantine(date);
DROP FUNCTION quarantine_table(date);
