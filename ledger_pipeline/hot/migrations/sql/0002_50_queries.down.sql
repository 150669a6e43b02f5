DROP VIEW user_workflow_summary, daily_cost_summary;
DROP INDEX workflow_executions_order, workflow_executions_name, workflow_executions_type, execution_heads_pruned,
    workflow_events_order, workflow_failed_events_user, workflow_timed_out_events_user, execution_aborted_events_user,
    log_recorded_events_error, log_recorded_events_error_user;
