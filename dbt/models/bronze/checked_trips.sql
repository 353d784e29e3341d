{# Every trip of every service, with its flags and whether a rule rejects it. #}
{%- do ref('month_builds') -%}
{%- set services = [ref('bronze_yellow'), ref('bronze_green'), ref('bronze_fhv'), ref('bronze_fhvhv')] -%}
{{ checked('select * from ' ~ services | join(' union all select * from ')) }}
