DELETE FROM workflow_template_steps WHERE template_id = %(template_id)s AND NOT id = ANY (%(kept)s)
