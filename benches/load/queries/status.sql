\set id random(1, 200000)
SELECT * FROM executions WHERE id = :id;
