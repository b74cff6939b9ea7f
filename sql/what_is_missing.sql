-- Which parts of the profiles are empty, and why?
SELECT m.column, m.reason, count(*) AS users
FROM user_profiles LATERAL VIEW explode(missing) x AS m
GROUP BY m.column, m.reason
ORDER BY users DESC, m.column, m.reason
