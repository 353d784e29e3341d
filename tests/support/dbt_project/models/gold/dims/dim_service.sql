select 'yellow' as service
