INSERT INTO executions (status, notebook_path, output_path, username, request, submitted_at) VALUES ('pending', 'a.ipynb', gen_random_uuid()::text, 'ann', repeat('x', 300), 0) RETURNING id;
