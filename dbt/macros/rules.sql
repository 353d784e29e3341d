{# The rules for trips. A rule is one entry here: name, action, SQL, why, example.

   action: reject   the row goes to silver.trips_rejected; its reasons are in the order of this file
   action: flag     the row stays in silver.trips, with a boolean column of the rule's name;
                    `blanks` names a column of silver.trips that becomes null
   sql              a condition on the columns of macros/bronze.sql (trip_columns), with the macros of
                    dialect.sql; null counts as false. Amounts are doubles, as published.
   example          what differs in a row that matches, from the ordinary trip below; each run tests it
   but_not          the same for a row that does not match #}
{% macro rules(action=none) -%}
{%- set yaml -%}
- name: pickup_missing
  action: reject
  sql: pickup_datetime is null
  why: A trip without a pickup time belongs to no hour and no day.
  example: {pickup_datetime: null}

- name: dropoff_before_pickup
  action: reject
  sql: dropoff_datetime < pickup_datetime and not {{ clock_was_set_back('pickup_datetime', 'dropoff_datetime') }}
  why: The times contradict each other, so neither can be trusted.
  example: {pickup_datetime: '2021-01-15 08:00:00', dropoff_datetime: '2021-01-15 07:59:59'}
  but_not: {pickup_datetime: '2021-11-07 01:50:00', dropoff_datetime: '2021-11-07 01:10:00'}

- name: pickup_far_from_month
  action: reject
  sql: pickup_datetime < {{ add_days(midnight('trip_month'), -31) }} or pickup_datetime >= {{ add_days(midnight(next_month('trip_month')), 31) }}
  why: Wrong clocks write years such as 2009 or 2041. Trips reported a few weeks late are real.
  example: {pickup_datetime: '2009-01-01 00:10:00', dropoff_datetime: '2009-01-01 00:20:00'}
  but_not: {pickup_datetime: '2020-12-25 00:10:00', dropoff_datetime: '2020-12-25 00:20:00'}

- name: longer_than_two_days
  action: reject
  sql: {{ seconds('pickup_datetime', 'dropoff_datetime') }} > 172800
  why: No ride in a taxi takes two days; one of the times is wrong by more than a day.
  example: {dropoff_datetime: '2021-01-17 08:00:01'}
  but_not: {dropoff_datetime: '2021-01-17 08:00:00'}

- name: zone_undeclared
  action: reject
  sql: pickup_zone_id not between 1 and 265 or dropoff_zone_id not between 1 and 265
  why: The TLC's zones are 1 to 265; another number is no place.
  example: {dropoff_zone_id: 266}
  but_not: {dropoff_zone_id: null}

- name: amount_impossible
  action: reject
  sql: {% for amount in amount_columns() %}abs({{ amount }}) > 10000{{ ' or ' if not loop.last }}{% endfor %}
  why: Some years have fares of 600,000 dollars; one such row outweighs a month's tips.
  example: {fare_amount: 623259.86, total_amount: 623261.66}
  but_not: {total_amount: -10000}

- name: is_void
  action: flag
  sql: total_amount < 0
  why: Reverses a charge. Nearly every one repeats a charge with all amounts negated; both rows stay, so that sums are right.
  example: {fare_amount: -12.5, total_amount: -15.3}

- name: is_shared
  action: flag
  sql: shared_match_flag = 'Y' or shared_ride = 1
  why: The vehicle was shared with another booking. Only for-hire services report it.
  example: {shared_match_flag: 'Y'}
  but_not: {shared_match_flag: 'N', shared_ride: 0}

- name: passengers_unknown
  action: flag
  sql: service in ('yellow', 'green') and coalesce(passenger_count, 0) = 0
  blanks: passenger_count
  why: The driver enters the number of passengers; none, or 0, means that no one counted them.
  example: {passenger_count: 0}
  but_not: {service: 'fhv', passenger_count: null}

- name: dropoff_a_day_late
  action: flag
  sql: {{ seconds('pickup_datetime', 'dropoff_datetime') }} between 72000 and 172800
  blanks: duration_seconds
  why: Meters of one vendor write short trips that end almost exactly a day after they begin.
  example: {dropoff_datetime: '2021-01-16 07:58:00'}
  but_not: {dropoff_datetime: '2021-01-15 13:00:00'}

- name: clock_set_back
  action: flag
  sql: {{ clock_was_set_back('pickup_datetime', 'dropoff_datetime') }}
  why: Ends before it begins on the wall clock, in the hour that is repeated when summer time ends.
  example: {pickup_datetime: '2021-11-07 01:50:00', dropoff_datetime: '2021-11-07 01:10:00'}
  but_not: {pickup_datetime: '2021-11-14 01:50:00', dropoff_datetime: '2021-11-14 01:10:00'}

- name: pickup_outside_month
  action: flag
  sql: pickup_datetime < {{ midnight('trip_month') }} or pickup_datetime >= {{ midnight(next_month('trip_month')) }}
  why: Reported late, or near midnight of the month's first or last day. The month is the file's.
  example: {pickup_datetime: '2021-02-01 00:00:00', dropoff_datetime: '2021-02-01 00:10:00'}
  but_not: {pickup_datetime: '2021-01-31 23:59:59', dropoff_datetime: '2021-02-01 00:10:00'}

- name: distance_implausible
  action: flag
  sql: distance_miles < 0 or distance_miles > 200
  blanks: distance_miles
  why: Meters report up to 259,777 miles for ordinary fares. The fare is kept, the distance is not.
  example: {distance_miles: 259777.54}
  but_not: {distance_miles: 200}

- name: zone_unknown
  action: flag
  sql: coalesce(pickup_zone_id, 264) = 264 or coalesce(dropoff_zone_id, 264) = 264
  why: The TLC's zone 264 is "unknown"; files before 2011 and many for-hire trips have no zone.
  example: {dropoff_zone_id: null}
{%- endset -%}
{%- set found = fromyaml(yaml) -%}
{{ return(found if action is none else found | selectattr('action', 'equalto', action) | list) }}
{%- endmacro %}

{# What an example's values replace. #}
{% macro ordinary_trip() -%}
  {{ return({
    'service': 'yellow', 'trip_month': '2021-01-01',
    'pickup_datetime': '2021-01-15 08:00:00', 'dropoff_datetime': '2021-01-15 08:10:00',
    'pickup_zone_id': 161, 'dropoff_zone_id': 237, 'vendor_id': 1, 'rate_code_id': 1,
    'payment_type_id': 1, 'passenger_count': 1, 'distance_miles': 1.5,
    'fare_amount': 12.5, 'tip_amount': 2.0, 'tolls_amount': 0.0, 'total_amount': 15.3,
  }) }}
{%- endmacro %}
