{{ code_rows('vendor_id', 'vendor') }}
