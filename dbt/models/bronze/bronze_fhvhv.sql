{# The files have no total: it is what the passenger paid, tips included, as for taxis. #}
{{ bronze_trips('fhvhv', {
  'pickup_datetime': 'pickup_datetime', 'dropoff_datetime': 'dropoff_datetime',
  'request_datetime': 'request_datetime',
  'pickup_zone_id': 'PULocationID', 'dropoff_zone_id': 'DOLocationID',
  'company_license': 'hvfhs_license_num', 'base_number': 'dispatching_base_num',
  'shared_match_flag': 'shared_match_flag', 'shared_ride': 'SR_Flag', 'distance_miles': 'trip_miles',
  'fare_amount': 'base_passenger_fare', 'tip_amount': 'tips', 'tolls_amount': 'tolls',
  'congestion_surcharge': 'congestion_surcharge', 'airport_fee': 'airport_fee',
  'cbd_congestion_fee': 'cbd_congestion_fee', 'black_car_fund': 'bcf', 'sales_tax': 'sales_tax',
  'driver_pay': 'driver_pay',
  'total_amount': ['base_passenger_fare', 'tolls', 'bcf', 'sales_tax', 'congestion_surcharge',
                   'airport_fee', 'cbd_congestion_fee', 'tips']}) }}
