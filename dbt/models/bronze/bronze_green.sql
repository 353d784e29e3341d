{{ bronze_trips('green', {
  'pickup_datetime': 'lpep_pickup_datetime', 'dropoff_datetime': 'lpep_dropoff_datetime',
  'pickup_zone_id': 'PULocationID', 'dropoff_zone_id': 'DOLocationID',
  'vendor_id': 'VendorID', 'rate_code_id': 'RatecodeID', 'payment_type_id': 'payment_type',
  'trip_type_id': 'trip_type', 'store_and_forward_flag': 'store_and_fwd_flag',
  'passenger_count': 'passenger_count', 'distance_miles': 'trip_distance',
  'fare_amount': 'fare_amount', 'extra_amount': 'extra', 'mta_tax': 'mta_tax', 'tip_amount': 'tip_amount',
  'tolls_amount': 'tolls_amount', 'improvement_surcharge': 'improvement_surcharge',
  'congestion_surcharge': 'congestion_surcharge', 'cbd_congestion_fee': 'cbd_congestion_fee',
  'ehail_fee': 'ehail_fee', 'total_amount': 'total_amount'}) }}
