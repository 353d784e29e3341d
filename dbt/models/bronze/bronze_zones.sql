{{ read_bronze('zones', dict(
  zone_id=['LocationID', 'whole'], borough=['Borough', 'text'], zone=['Zone', 'text'],
  service_zone=['service_zone', 'text'], longitude=['longitude', 'real'], latitude=['latitude', 'real'],
  area_km2=['area_km2', 'real']), ['zone_id']) }}
