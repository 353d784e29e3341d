{# The declared codes: what each stands for. Source: the TLC's data dictionaries,
   https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page #}
{% macro codes() -%}
  {{ return({
    'vendor_id': {1: 'Creative Mobile Technologies', 2: 'Curb Mobility', 3: 'Digital Dispatch Systems',
                  6: 'Myle Technologies', 7: 'Helix'},
    'rate_code_id': {1: 'Standard rate', 2: 'JFK', 3: 'Newark', 4: 'Nassau or Westchester',
                     5: 'Negotiated fare', 6: 'Group ride', 99: 'Unknown'},
    'payment_type_id': {0: 'Flex fare', 1: 'Credit card', 2: 'Cash', 3: 'No charge', 4: 'Dispute',
                        5: 'Unknown', 6: 'Voided trip'},
    'trip_type_id': {1: 'Street hail', 2: 'Dispatch'},
    'company_license': {'HV0002': 'Juno', 'HV0003': 'Uber', 'HV0004': 'Via', 'HV0005': 'Lyft'},
  }) }}
{%- endmacro %}

{# Codes that the dictionaries before March 18, 2025 do not have; that edition is the first for files
   with cbd_congestion_fee, those of 2025. In older files no one had declared them. #}
{% macro codes_since_2025() -%}
  {{ return({'vendor_id': [6, 7], 'rate_code_id': [99], 'payment_type_id': [0]}) }}
{%- endmacro %}

{% macro literal(x) -%} {{ "'" ~ x ~ "'" if x is string else x }} {%- endmacro %}

{# Name of the code; null if it is null or not declared. #}
{% macro decoded(column) -%}
  {{ text('case ' ~ column ~ decoded_cases(column) ~ ' end') }}
{%- endmacro %}

{% macro decoded_cases(column) -%}
  {%- for code, name in codes()[column].items() %} when {{ literal(code) }} then '{{ name }}'{% endfor -%}
{%- endmacro %}

{% macro declared(column) -%}
  {{ column }} in ({% for code in codes()[column] %}{{ literal(code) }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{% macro declared_in_month(column, month) -%}
  {{ declared(column) }}
  {%- if column in codes_since_2025() %} and not ({{ column }} in ({{ codes_since_2025()[column] | join(', ') }}) and {{ month }} < {{ day('2025-01-01') }}){% endif -%}
{%- endmacro %}

{# Key of the dimension for a code: -1 if it is missing, -2 if it is not declared. #}
{% macro code_key(column) -%}
  {{ whole('case when ' ~ column ~ ' is null then -1 when ' ~ declared(column) ~ ' then ' ~ column ~ ' else -2 end') }}
{%- endmacro %}

{# Rows of a dimension of codes. #}
{% macro code_rows(column, name) -%}
  {% for code, label in codes()[column].items() -%}
  select {{ whole(code) }} as {{ column }}, {{ text("'" ~ label ~ "'") }} as {{ name }} union all
  {% endfor -%}
  select {{ whole(-1) }}, {{ text("'Missing'") }} union all
  select {{ whole(-2) }}, {{ text("'Undeclared'") }}
{%- endmacro %}
