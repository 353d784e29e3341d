{{ code_rows('rate_code_id', 'rate_code') }}
