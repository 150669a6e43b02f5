DROP FUNCTION refuse_false_operators(append_staging[]);
