{{ bronze_trips('fhv', {
  'pickup_datetime': 'pickup_datetime', 'dropoff_datetime': 'dropOff_datetime',
  'pickup_zone_id': 'PUlocationID', 'dropoff_zone_id': 'DOlocationID',
  'base_number': 'dispatching_base_num', 'shared_ride': 'SR_Flag'}) }}
