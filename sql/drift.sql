-- Do the categories still fit the pictures that came since? drift: how much farther from their centroids these are.
SELECT f.purpose, f.fit_id, f.fitted_at, f.k, f.images AS fitted_pictures,
  count_if(NOT c.fitted) AS pictures_since, round(f.drift, 4) AS drift, round(f.mean_distance, 4) AS mean_distance,
  f.warning
FROM cluster_fits f
LEFT JOIN image_clusters c ON c.purpose = f.purpose AND c.fit_id = f.fit_id
WHERE f.current
GROUP BY f.purpose, f.fit_id, f.fitted_at, f.k, f.images, f.drift, f.mean_distance, f.warning
ORDER BY f.purpose, f.fit_id
