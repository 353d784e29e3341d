{{ read_bronze('loads', dict(
  table_name=['table_name', 'text'], trip_month=['trip_month', 'date'], row_count=['row_count', 'whole'],
  source_version=['source_version', 'text'], load_id=['load_id', 'text'], loaded_at=['loaded_at', 'moment'])) }}
