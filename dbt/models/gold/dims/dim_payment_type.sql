{{ code_rows('payment_type_id', 'payment_type') }}
