/*
 * The statements. Operations of one kind go together: each parameter is an array with a place for each operation, and
 * the answer names the places (n, from 1) that were carried out.
 *
 * A row that is looked for by its number is written "= ANY (ARRAY[n])": of "= n" the planner makes a join, and where
 * a table was empty when it was vacuumed, one that goes through the whole table for each number, however large it is
 * by now. This it can only do by index, number by number.
 *
 * What most batches are made of has statements of its own, without joins; arrays are unnested in a SELECT list there,
 * in step, where in a FROM list each would be written to a place of its own first.
 */
#include "store/postgres.h"

/* In the order that postgres_read_job() reads. j: exportd.jobs, q: exportd.queue or nulls. */
#define JOB_COLUMNS                                                                                                  \
    "j.sequence, j.id, j.task, j.route,"                                                                             \
    " CASE WHEN q.sequence IS NULL THEN j.state WHEN q.lease > 0 THEN 1 ELSE 0 END AS state, j.priority,"            \
    " coalesce(q.run_at, 0) AS run_at, coalesce(q.attempts, j.attempts) AS attempts,"                                \
    " coalesce(q.losses, j.losses) AS losses, j.max_attempts, coalesce(q.lease, j.lease) AS lease,"                  \
    " coalesce(q.cancel_requested, false) AS cancel_requested, j.created_at,"                                        \
    " coalesce(q.started_at, j.started_at) AS started_at, j.finished_at, j.callback_url, j.result, j.error_code,"    \
    " j.error_message, j.body_hash, j.door, j.origin, j.trace"

/* d: exportd.deliveries, o: exportd.outbox or nulls. */
#define DELIVERY_COLUMNS                                                                                             \
    "d.sequence, d.id, d.job_id, d.target, d.body, CASE WHEN o.dead THEN 2 WHEN o.sequence IS NULL THEN 1 ELSE 0 "   \
    "END,"                                                                                                           \
    " coalesce(o.attempts, d.attempts), d.created_at, coalesce(o.next_at, 0), d.give_up_at,"                         \
    " coalesce(o.last_error, d.last_error), d.channel, d.job_sequence,"                                              \
    " (SELECT trace FROM exportd.jobs WHERE jobs.sequence = d.job_sequence)"

/* Both tables from a list that has the columns of d and, with SELECT before it, sequence and job_sequence. */
#define SEND                                                                                                         \
    " recorded AS (INSERT INTO exportd.deliveries (sequence, id, job_sequence, job_id, channel, target, body,"       \
    " created_at, give_up_at) SELECT sequence, id, job_sequence, job_id, channel, target, body, created_at,"         \
    " give_up_at FROM sent),"                                                                                        \
    " posted AS (INSERT INTO exportd.outbox (sequence, id, channel, next_at) SELECT sequence, id, channel, next_at"  \
    " FROM sent)"

#define LEASE_END(milliseconds) "now() + " milliseconds "::bigint * interval '1 ms'"

#define NOW_MS "(extract(epoch FROM now()) * 1000)::bigint"

/* Jobs that can run at once. Those that are new come back in their order. known: what becomes of those whose id is
 * there already. */
#define SUBMIT_PLAIN(known)                                                                                          \
    "WITH new AS (INSERT INTO exportd.jobs (sequence, lease, state, id, task, route, priority, max_attempts,"        \
    " created_at, body_hash, callback_url, door, origin, data, trace) SELECT nextval('exportd.jobs_sequence'),"      \
    " CASE WHEN claim = 1 THEN nextval('exportd.leases') ELSE 0 END, 0, id, task, route, priority, max_attempts,"    \
    " created_at, body_hash, callback_url, door, origin, data, trace FROM (SELECT unnest($1::text[]) AS id,"         \
    " unnest($2::text[]) AS task, unnest($3::text[]) AS route, unnest($4::bigint[]) AS priority,"                    \
    " unnest($5::bigint[]) AS max_attempts, unnest($6::bigint[]) AS created_at, unnest($7::bytea[]) AS body_hash,"   \
    " unnest($8::text[]) AS callback_url, unnest($9::bigint[]) AS door, unnest($10::text[]) AS origin,"              \
    " unnest($11::text[]) AS data, unnest($12::bigint[]) AS claim, unnest($13::text[]) AS trace) AS u" known         \
    " RETURNING sequence, lease, id, route, priority, created_at),"                                                  \
    " queued AS (INSERT INTO exportd.queue (sequence, route, priority, run_at, lease, lease_until, host, attempts,"  \
    " started_at, created_at) SELECT sequence, route, priority, 0, lease, CASE WHEN lease > 0 THEN " LEASE_END(      \
        "$14") " END,"                                                                                               \
               " CASE WHEN lease > 0 THEN $15::text END, CASE WHEN lease > 0 THEN 1 ELSE 0 END,"                     \
               " CASE WHEN lease > 0 THEN created_at ELSE 0 END, created_at FROM new)"                               \
               " SELECT sequence, lease, id FROM new"

/* The jobs are numbered, and leased where wanted, before they are inserted, so that one pass fills both tables. */
#define SUBMIT                                                                                                       \
    "WITH u AS MATERIALIZED (SELECT *, nextval('exportd.jobs_sequence') AS sequence,"                                \
    " CASE WHEN claim = 1 THEN nextval('exportd.leases') ELSE 0 END AS lease"                                        \
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],"       \
    " $8::bytea[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],"               \
    " $15::bigint[], $16::text[], $17::text[], $18::text[]) WITH ORDINALITY AS u(id, task, route, priority, run_at," \
    " max_attempts, created_at, body_hash, callback_url, door, origin, data, claim, state, finished_at,"             \
    " error_code, error_message, trace, n)),"                                                                        \
    " new AS (INSERT INTO exportd.jobs (sequence, id, task, route, state, priority, max_attempts, created_at,"       \
    " body_hash, callback_url, door, origin, data, finished_at, error_code, error_message, trace)"                   \
    " SELECT sequence, id, task, route, state, priority, max_attempts, created_at, body_hash, callback_url, door,"   \
    " origin, data, finished_at, error_code, error_message, trace FROM u ON CONFLICT (id) DO NOTHING RETURNING "     \
    "sequence),"                                                                                                     \
    " queued AS (INSERT INTO exportd.queue (sequence, route, priority, run_at, lease, lease_until, host, attempts,"  \
    " started_at, created_at) SELECT sequence, route, priority, run_at, lease,"                                      \
    " CASE WHEN lease > 0 THEN " LEASE_END("$19") " END, CASE WHEN lease > 0 THEN $20::text END, claim,"             \
                                                  " CASE WHEN lease > 0 THEN created_at ELSE 0 END, created_at"      \
                                                  " FROM u JOIN new USING (sequence) WHERE state = 0)"

/* A dead letter has ended as it comes. */
#define KEEP_ENDED                                                                                                   \
    ", ended AS (INSERT INTO exportd.finished SELECT state, finished_at, sequence FROM u JOIN new USING (sequence)"  \
    " WHERE state <> 0)"

#define SUBMITTED " SELECT u.n, u.sequence, u.lease FROM u JOIN new USING (sequence)"

/* Only where the repro is there: exports.repro_id refers to it. */
#define KEEP_REQUESTED                                                                                               \
    ", kept AS (INSERT INTO exports (id, repro_id, export_type, status, options, error_message, created_at,"         \
    " updated_at) SELECT u.id::uuid, r.id, left(e.export_type, 20),"                                                 \
    " CASE WHEN u.state = 0 THEN 'pending' ELSE 'failed' END, e.options::jsonb, u.error_message, now(), now()"       \
    " FROM unnest($21::bigint[], $22::text[], $23::text[], $24::text[]) AS e(n, repro_id, export_type, options)"     \
    " JOIN u ON u.n = e.n JOIN repros r ON r.id = e.repro_id::uuid"                                                  \
    " WHERE u.sequence IN (SELECT sequence FROM new)"                                                                \
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, options = excluded.options, result = NULL,"           \
    " error_message = excluded.error_message, updated_at = now())"

#define FINISH                                                                                                       \
    "WITH f AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"          \
    " $6::bigint[], $7::text[], $8::text[], $9::text[]) WITH ORDINALITY AS f(sequence, lease, state, attempts,"      \
    " started_at, finished_at, result, error_code, error_message, n)),"                                              \
    " gone AS (DELETE FROM exportd.queue q USING f WHERE q.sequence = ANY (ARRAY[f.sequence]) AND q.lease = f.lease" \
    " RETURNING f.*, q.losses),"                                                                                     \
    " done AS (UPDATE exportd.jobs j SET state = gone.state, attempts = gone.attempts, losses = gone.losses,"        \
    " lease = gone.lease, host = $19::text, started_at = gone.started_at, finished_at = gone.finished_at,"           \
    " result = gone.result, error_code = gone.error_code, error_message = gone.error_message FROM gone"              \
    " WHERE j.sequence = ANY (ARRAY[gone.sequence]) RETURNING gone.n, j.id, j.door, gone.state,"                     \
    " gone.result, gone.error_message),"                                                                             \
    " ended AS (INSERT INTO exportd.finished SELECT state, finished_at, sequence FROM gone),"                        \
    " sent AS MATERIALIZED (SELECT nextval('exportd.deliveries_sequence') AS sequence, gone.sequence AS "            \
    "job_sequence,"                                                                                                  \
    " d.* FROM unnest($10::bigint[], $11::text[], $12::text[], $13::bigint[], $14::text[], $15::text[], "            \
    "$16::bigint[],"                                                                                                 \
    " $17::bigint[], $18::bigint[]) AS d(owner, id, job_id, channel, target, body, created_at, next_at,"             \
    " give_up_at) JOIN gone ON gone.n = d.owner)," SEND

/* With one delivery each at the most, whose id is null where there is none. The places are given: of a series the
 * planner would expect many rows, and go through the whole queue for a join with them. */
#define FINISH_PLAIN                                                                                                 \
    "WITH gone AS (DELETE FROM exportd.queue q USING (SELECT unnest($1::bigint[]) AS sequence,"                      \
    " unnest($2::bigint[]) AS lease, unnest($3::bigint[]) AS state, unnest($4::bigint[]) AS attempts,"               \
    " unnest($5::bigint[]) AS started_at, unnest($6::bigint[]) AS finished_at, unnest($7::text[]) AS result,"        \
    " unnest($8::text[]) AS error_code, unnest($9::text[]) AS error_message, unnest($11::text[]) AS message_id,"     \
    " unnest($12::text[]) AS job_id, unnest($13::bigint[]) AS channel, unnest($14::text[]) AS target,"               \
    " unnest($15::text[]) AS body, unnest($16::bigint[]) AS created_at, unnest($17::bigint[]) AS next_at,"           \
    " unnest($18::bigint[]) AS give_up_at, unnest($19::bigint[]) AS n) AS f"                                         \
    " WHERE q.sequence = ANY (ARRAY[f.sequence]) AND q.lease = f.lease RETURNING f.*, q.losses,"                     \
    " CASE WHEN f.message_id IS NOT NULL THEN nextval('exportd.deliveries_sequence') END AS message),"               \
    " done AS (UPDATE exportd.jobs j SET state = gone.state, attempts = gone.attempts, losses = gone.losses,"        \
    " lease = gone.lease, host = $10::text, started_at = gone.started_at, finished_at = gone.finished_at,"           \
    " result = gone.result, error_code = gone.error_code, error_message = gone.error_message FROM gone"              \
    " WHERE j.sequence = ANY (ARRAY[gone.sequence])),"                                                               \
    " ended AS (INSERT INTO exportd.finished SELECT state, finished_at, sequence FROM gone),"                        \
    " recorded AS (INSERT INTO exportd.deliveries (sequence, id, job_sequence, job_id, channel, target, body,"       \
    " created_at, give_up_at) SELECT message, message_id, sequence, job_id, channel, target, body, created_at,"      \
    " give_up_at FROM gone WHERE message IS NOT NULL),"                                                              \
    " posted AS (INSERT INTO exportd.outbox (sequence, id, channel, next_at) SELECT message, message_id, channel,"   \
    " next_at FROM gone WHERE message IS NOT NULL)"                                                                  \
    " SELECT n, message FROM gone"

/* n < 0: a delivery of the job at -n. */
#define FINISHED " SELECT n, NULL::bigint, NULL::text FROM done UNION ALL SELECT -owner, sequence, id FROM sent"

/* The cast is kept from ids of other doors, which are no UUIDs. */
#define EXPORT_ID(row) "CASE WHEN " row ".door = 2 THEN " row ".id::uuid END"

#define KEEP_FINISHED                                                                                                \
    ", kept AS (UPDATE exports e SET status = CASE WHEN done.state = 2 THEN 'completed' ELSE 'failed' END,"          \
    " result = done.result::jsonb, error_message = done.error_message, updated_at = now()"                           \
    " FROM done WHERE e.id = ANY (ARRAY[" EXPORT_ID("done") "]))"

/* One job alone: what the lists above cost to set up is half of a small batch's time. $13: for how long it is leased,
 * 0: it waits. */
#define SUBMIT_ONE                                                                                                   \
    "WITH new AS (INSERT INTO exportd.jobs (sequence, id, task, route, state, priority, max_attempts, created_at,"   \
    " body_hash, callback_url, door, origin, data, trace) VALUES (nextval('exportd.jobs_sequence'), $1::text,"       \
    " $2::text, $3::text, 0, $4::bigint, $6::bigint, $7::bigint, $8::bytea, $9::text, $10::bigint, $11::text,"       \
    " $12::text, $15::text) ON CONFLICT (id) DO NOTHING RETURNING sequence)"                                         \
    " INSERT INTO exportd.queue (sequence, route, priority, run_at, lease, lease_until, host, attempts, started_at," \
    " created_at) SELECT sequence, $3::text, $4::bigint, $5::bigint,"                                                \
    " CASE WHEN $13::bigint > 0 THEN nextval('exportd.leases') ELSE 0 END,"                                          \
    " CASE WHEN $13::bigint > 0 THEN " LEASE_END(                                                                    \
        "$13") " END, CASE WHEN $13::bigint > 0 THEN $14::text END,"                                                 \
               " CASE WHEN $13::bigint > 0 THEN 1 ELSE 0 END, CASE WHEN $13::bigint > 0 THEN $7::bigint ELSE 0 END," \
               " $7::bigint FROM new RETURNING 1, sequence, lease"

/* With one delivery at the most; $11 is null where there is none. */
#define FINISH_ONE                                                                                                   \
    "WITH gone AS (DELETE FROM exportd.queue WHERE sequence = $1::bigint AND lease = $2::bigint"                     \
    " RETURNING sequence, losses),"                                                                                  \
    " ended AS (INSERT INTO exportd.finished SELECT $3::bigint, $6::bigint, sequence FROM gone),"                    \
    " recorded AS (INSERT INTO exportd.deliveries (sequence, id, job_sequence, job_id, channel, target, body,"       \
    " created_at, give_up_at) SELECT nextval('exportd.deliveries_sequence'), $11::text, sequence, $12::text,"        \
    " $13::bigint, $14::text, $15::text, $16::bigint, $18::bigint FROM gone WHERE $11::text IS NOT NULL"             \
    " RETURNING sequence),"                                                                                          \
    " posted AS (INSERT INTO exportd.outbox (sequence, id, channel, next_at)"                                        \
    " SELECT sequence, $11::text, $13::bigint, $17::bigint FROM recorded)"                                           \
    " UPDATE exportd.jobs j SET state = $3::bigint, attempts = $4::bigint, losses = gone.losses, lease = "           \
    "$2::bigint,"                                                                                                    \
    " host = $10::text, started_at = $5::bigint, finished_at = $6::bigint, result = $7::text,"                       \
    " error_code = $8::text, error_message = $9::text FROM gone WHERE j.sequence = ANY (ARRAY[gone.sequence])"       \
    " RETURNING (SELECT sequence FROM recorded)"

#define RETRY                                                                                                        \
    "WITH over AS (DELETE FROM exportd.finished f USING exportd.jobs j WHERE j.id = $1::text AND j.state IN (3, 4)"  \
    " AND f.state = j.state AND f.finished_at = j.finished_at AND f.sequence = j.sequence),"                         \
    " again AS (UPDATE exportd.jobs SET state = 0, attempts = 0, losses = 0, started_at = 0, finished_at = 0,"       \
    " result = NULL, error_code = NULL, error_message = NULL, task = coalesce($2::text, task),"                      \
    " route = coalesce($3::text, route), max_attempts = coalesce(nullif($4::bigint, 0), max_attempts),"              \
    " data = coalesce($5::text, data) WHERE id = $1::text AND state IN (3, 4)"                                       \
    " RETURNING sequence, route, priority, created_at, id, door),"                                                   \
    " queued AS (INSERT INTO exportd.queue (sequence, route, priority, run_at, lease, attempts, started_at,"         \
    " created_at) SELECT sequence, route, priority, 0, 0, 0, 0, created_at FROM again)"

const char *const postgres_sql[PG_STATEMENT_COUNT] = {
    [PG_BEGIN] = "BEGIN",
    [PG_COMMIT] = "COMMIT",
    [PG_ROLLBACK] = "ROLLBACK",
    [PG_SUBMIT] = SUBMIT_PLAIN(""),
    [PG_SUBMIT_CAREFULLY] = SUBMIT_PLAIN(" ON CONFLICT (id) DO NOTHING"),
    [PG_SUBMIT_ONE] = SUBMIT_ONE,
    [PG_SUBMIT_AND_BEGIN] = SUBMIT_ONE ", set_config('synchronous_commit', 'off', true)",
    /* One after the other, so that none goes back. A crash may take numbers of a sequence back, with commits that
     * were not on disk yet; jobs begin before theirs is. So leases go on beyond all that can have been handed out
     * before a connection was made. */
    [PG_SKIP_LEASES] = "SELECT setval('exportd.leases', nextval('exportd.leases') + 1000000000)"
                       " FROM pg_advisory_xact_lock(hashtextextended('exportd.leases', 0))",
    /* A transaction that writes to the log, and nothing else. */
    [PG_SETTLE] = "SELECT pg_logical_emit_message(true, 'exportd', ''::text)",
    [PG_SUBMIT_ANY] = SUBMIT KEEP_ENDED SUBMITTED,
    [PG_SUBMIT_EXPORTS] = SUBMIT KEEP_ENDED KEEP_REQUESTED SUBMITTED,
    /* Where the dead letter has just been inserted; not where another job of the same id was there. */
    [PG_DEAD_DELIVERIES] =
        "WITH sent AS MATERIALIZED (SELECT nextval('exportd.deliveries_sequence') AS sequence,"
        " j.sequence AS job_sequence, d.* FROM exportd.jobs j,"
        " unnest($3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[],"
        " $10::bigint[], $11::bigint[]) AS d(owner, id, job_id, channel, target, body, created_at, next_at,"
        " give_up_at) WHERE j.id = $1::text AND j.body_hash = decode($2::text, 'hex') AND j.state = 3"
        " AND NOT EXISTS (SELECT 1 FROM exportd.deliveries o WHERE o.job_sequence = j.sequence))," SEND
        " SELECT sequence, id FROM sent",
    [PG_GET] = "SELECT " JOB_COLUMNS ", j.data FROM exportd.jobs j LEFT JOIN exportd.queue q"
               " ON q.sequence = j.sequence WHERE j.id = $1::text",
    /* Held until the commit, so that two hosts don't fill the same room. */
    [PG_LIMIT_LOCK] = "SELECT pg_advisory_xact_lock(hashtextextended('exportd.limit.' || $1::text, 0))",
    /* Rows are found again by their place, for they are locked; one that moved in the very moment waits for the next.
     * By their number it would be an index scan for each, and here and below the planner can't know how many rows a
     * LIMIT lets through: it would go through the whole queue for a join with them. ANY of an array it takes for a
     * few. */
    [PG_CLAIM] =
        "WITH ready AS MATERIALIZED (SELECT ctid AS place FROM exportd.queue WHERE lease = 0 AND run_at = 0"
        " AND route = $1::text ORDER BY priority DESC, sequence LIMIT CASE WHEN $3::bigint = 0 THEN $2::bigint"
        " ELSE least($2::bigint, greatest(0, $3::bigint - (SELECT count(*) FROM exportd.queue WHERE lease > 0"
        " AND route = ANY ($4::text[])))) END FOR UPDATE SKIP LOCKED),"
        " leased AS MATERIALIZED (SELECT place, nextval('exportd.leases') AS lease FROM ready),"
        " q AS (UPDATE exportd.queue o SET lease = leased.lease, lease_until = " LEASE_END(
            "$5") ", host = $6::text, attempts = o.attempts + 1, started_at = $7::bigint FROM leased"
                  " WHERE o.ctid = leased.place RETURNING o.*)"
                  " SELECT " JOB_COLUMNS ", j.data FROM q JOIN exportd.jobs j ON j.sequence = ANY (ARRAY[q.sequence])"
                  " ORDER BY q.priority DESC, q.sequence",
    [PG_FINISH] = FINISH_PLAIN,
    [PG_FINISH_ONE] = FINISH_ONE,
    [PG_FINISH_ANY] = FINISH FINISHED,
    [PG_FINISH_EXPORTS] = FINISH KEEP_FINISHED FINISHED,
    [PG_AGAIN] =
        "WITH f AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],"
        " $6::text[]) WITH ORDINALITY AS f(sequence, lease, attempts, run_at, error_code, error_message, n)),"
        " back AS (UPDATE exportd.queue q SET lease = 0, lease_until = NULL, host = NULL, attempts = f.attempts,"
        " run_at = f.run_at FROM f WHERE q.sequence = ANY (ARRAY[f.sequence]) AND q.lease = f.lease RETURNING f.*),"
        " noted AS (UPDATE exportd.jobs j SET error_code = back.error_code, error_message = back.error_message"
        " FROM back WHERE j.sequence = ANY (ARRAY[back.sequence]) AND back.error_code IS NOT NULL) SELECT n FROM "
        "back",
    [PG_CANCEL] = "WITH old AS (SELECT q.sequence, q.lease FROM exportd.queue q JOIN exportd.jobs j USING (sequence)"
                  " WHERE j.id = $1::text FOR UPDATE OF q),"
                  " new AS (UPDATE exportd.queue q SET cancel_requested = true,"
                  " lease = CASE WHEN old.lease > 0 THEN old.lease ELSE nextval('exportd.leases') END,"
                  " lease_until = CASE WHEN old.lease > 0 THEN q.lease_until ELSE " LEASE_END(
                      "$2") " END,"
                            " host = CASE WHEN old.lease > 0 THEN q.host ELSE $3::text END FROM old WHERE q.sequence "
                            "= old.sequence"
                            " RETURNING q.lease) SELECT old.lease, new.lease FROM old, new",
    [PG_RETRY] = RETRY " SELECT sequence FROM again",
    [PG_RETRY_EXPORTS] = RETRY ", kept AS (UPDATE exports e SET status = 'pending', result = NULL,"
                               " error_message = NULL, updated_at = now() FROM again"
                               " WHERE e.id = ANY (ARRAY[" EXPORT_ID("again") "])) SELECT sequence FROM again",
    [PG_LIST] = "SELECT " JOB_COLUMNS " FROM exportd.jobs j LEFT JOIN exportd.queue q ON q.sequence = j.sequence"
                " WHERE j.sequence < $1::bigint AND ($2::text IS NULL OR j.route = $2::text)"
                " ORDER BY j.sequence DESC LIMIT $3::bigint",
    [PG_LIST_LIVE] = "SELECT " JOB_COLUMNS " FROM exportd.queue q JOIN exportd.jobs j ON j.sequence = q.sequence"
                     " WHERE (q.lease > 0) = ($4::bigint = 1) AND q.sequence < $1::bigint"
                     " AND ($2::text IS NULL OR q.route = $2::text) ORDER BY q.sequence DESC LIMIT $3::bigint",
    /* The last to end come first; a page goes on behind the place that the job $1 has in that order. */
    [PG_LIST_FINISHED] =
        "SELECT " JOB_COLUMNS " FROM exportd.finished f JOIN exportd.jobs j ON j.sequence = f.sequence"
        " LEFT JOIN exportd.queue q ON q.sequence = j.sequence"
        " WHERE f.state = $4::bigint AND ($2::text IS NULL OR j.route = $2::text)"
        " AND (f.finished_at, f.sequence) < (CASE WHEN $1::bigint = 9223372036854775807 THEN $1::bigint"
        " ELSE coalesce((SELECT c.finished_at FROM exportd.jobs c WHERE c.sequence = $1::bigint), 0) END,"
        " $1::bigint) ORDER BY f.finished_at DESC, f.sequence DESC LIMIT $3::bigint",
    [PG_RENEW] =
        "UPDATE exportd.queue SET lease_until = " LEASE_END("$2") " WHERE lease = ANY ($1::bigint[])"
                                                                  " AND lease > 0 AND lease_until < " LEASE_END("$3"),
    [PG_LOST] = "SELECT h FROM unnest($1::bigint[]) AS h WHERE"
                " (SELECT q.lease FROM exportd.queue q WHERE q.lease = h AND q.lease > 0) IS NULL",
    /* Not where the database stood still since this host's last tick ($1): then nobody could renew. */
    [PG_REAP] = "WITH dead AS MATERIALIZED (SELECT sequence FROM exportd.queue WHERE lease > 0"
                " AND lease_until < now() AND ($1::bigint = 0 OR " NOW_MS
                " - $1::bigint < $2::bigint) LIMIT 1000 FOR UPDATE SKIP LOCKED)"
                " UPDATE exportd.queue SET lease = 0, lease_until = NULL, host = NULL, losses = losses + 1,"
                " attempts = greatest(attempts - 1, 0), run_at = 0"
                " WHERE sequence = ANY (ARRAY(SELECT sequence FROM dead))",
    [PG_PROMOTE] = "WITH due AS MATERIALIZED (SELECT sequence FROM exportd.queue WHERE lease = 0 AND run_at > 0"
                   " AND run_at <= $1::bigint LIMIT 10000 FOR UPDATE SKIP LOCKED) UPDATE exportd.queue SET run_at = 0"
                   " WHERE sequence = ANY (ARRAY(SELECT sequence FROM due))",
    [PG_STATE] =
        "SELECT (SELECT min(run_at) FROM exportd.queue WHERE lease = 0 AND run_at > 0),"
        " (SELECT created_at FROM exportd.queue WHERE lease = 0 AND run_at = 0 ORDER BY route, priority DESC,"
        " sequence LIMIT 1),"
        " (SELECT min(next_at) FROM exportd.outbox WHERE NOT dead AND channel = 0),"
        " (SELECT min(next_at) FROM exportd.outbox WHERE NOT dead AND channel = 1), " NOW_MS,
    [PG_ROUTES] =
        "WITH RECURSIVE r AS ((SELECT route FROM exportd.queue WHERE lease = 0 AND run_at = 0 ORDER BY route LIMIT 1)"
        " UNION ALL SELECT (SELECT q.route FROM exportd.queue q WHERE q.lease = 0 AND q.run_at = 0"
        " AND q.route > r.route ORDER BY q.route LIMIT 1) FROM r WHERE r.route IS NOT NULL)"
        " SELECT route FROM r WHERE route IS NOT NULL LIMIT 4096",
    [PG_CANCELLED] = "SELECT lease FROM exportd.queue WHERE lease > 0 AND cancel_requested AND host = $1::text",
    /* Not while its callback is still to arrive. A host removes what it ran, for it has the artifacts; what it leaves
     * for a day, because it is gone, any other does. */
    [PG_PRUNE] =
        "WITH old AS MATERIALIZED (SELECT f.state, f.finished_at, f.sequence FROM exportd.finished f"
        " WHERE f.state = $1::bigint AND f.finished_at < $2::bigint AND EXISTS (SELECT 1 FROM exportd.jobs j"
        " WHERE j.sequence = f.sequence AND (j.host = $3::text OR j.host IS NULL"
        " OR f.finished_at < $2::bigint - 86400000)) AND NOT EXISTS (SELECT 1 FROM exportd.deliveries d"
        " JOIN exportd.outbox o ON o.sequence = d.sequence WHERE d.job_sequence = f.sequence AND NOT o.dead)"
        " ORDER BY f.finished_at LIMIT 500 FOR UPDATE SKIP LOCKED),"
        " told AS (DELETE FROM exportd.deliveries WHERE job_sequence = ANY (ARRAY(SELECT sequence FROM old))"
        " RETURNING sequence),"
        " dead AS (DELETE FROM exportd.outbox WHERE sequence = ANY (ARRAY(SELECT sequence FROM told))),"
        " ended AS (DELETE FROM exportd.finished f WHERE (f.state, f.finished_at, f.sequence) IN"
        " (SELECT state, finished_at, sequence FROM old) AND f.finished_at = ANY (ARRAY(SELECT finished_at FROM old))"
        " AND f.state = $1::bigint)"
        " DELETE FROM exportd.jobs WHERE sequence = ANY (ARRAY(SELECT sequence FROM old)) RETURNING sequence, id",
    [PG_COUNT] = "SELECT count(*) FROM exportd.queue WHERE lease = 0",
    /* Lists are planned for their own limits. */
    [PG_PLAN_ONCE] = "SET LOCAL plan_cache_mode = force_custom_plan",
    [PG_PLAN_FOR_ALL] = "SET LOCAL plan_cache_mode = force_generic_plan",
    [PG_NOTIFY] = "SELECT pg_notify('exportd', $1::text)",
    [PG_DELIVERY_TAKE] =
        "WITH due AS MATERIALIZED (SELECT sequence FROM exportd.outbox WHERE NOT dead AND channel = $1::bigint"
        " AND next_at <= $2::bigint ORDER BY next_at LIMIT $3::bigint FOR UPDATE SKIP LOCKED),"
        " o AS (UPDATE exportd.outbox SET next_at = $4::bigint WHERE sequence = ANY (ARRAY(SELECT sequence FROM due))"
        " RETURNING *)"
        " SELECT " DELIVERY_COLUMNS " FROM o JOIN exportd.deliveries d ON d.id = ANY (ARRAY[o.id])",
    /* At the first attempt. */
    [PG_DELIVERY_DONE] = "DELETE FROM exportd.outbox WHERE sequence = ANY ($1::bigint[])",
    /* One that arrived leaves the outbox. What another host has brought to its end meanwhile stays so. */
    [PG_DELIVERY_RESULT] =
        "WITH r AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])"
        " AS r(sequence, state, attempts, next_at, last_error)),"
        " arrived AS (DELETE FROM exportd.outbox o USING r WHERE o.sequence = ANY (ARRAY[r.sequence]) AND r.state = 1"
        " RETURNING o.id, r.attempts, o.last_error),"
        " noted AS (UPDATE exportd.deliveries d SET attempts = arrived.attempts, last_error = arrived.last_error"
        " FROM arrived WHERE d.id = ANY (ARRAY[arrived.id]) AND arrived.attempts <> 1)"
        " UPDATE exportd.outbox o SET dead = r.state = 2, attempts = r.attempts, next_at = r.next_at,"
        " last_error = r.last_error FROM r WHERE o.sequence = ANY (ARRAY[r.sequence]) AND r.state <> 1",
    [PG_DELIVERY_LIST] =
        "SELECT " DELIVERY_COLUMNS " FROM exportd.deliveries d LEFT JOIN exportd.outbox o ON o.sequence = d.sequence"
        " WHERE $1::bigint < 0 OR o.sequence IS NULL ORDER BY d.job_sequence DESC LIMIT $2::bigint",
    [PG_DELIVERY_POSTED] =
        "SELECT " DELIVERY_COLUMNS " FROM exportd.outbox o JOIN exportd.deliveries d ON d.id = o.id"
        " WHERE o.dead = ($1::bigint = 2) ORDER BY o.sequence DESC LIMIT $2::bigint",
    [PG_DELIVERY_OF_JOB] =
        "SELECT " DELIVERY_COLUMNS " FROM exportd.deliveries d LEFT JOIN exportd.outbox o ON o.sequence = d.sequence"
        " WHERE d.job_sequence = (SELECT sequence FROM exportd.jobs WHERE id = $1::text) ORDER BY d.sequence DESC"
        " LIMIT $2::bigint",
    [PG_DELIVERY_RETRY] =
        "WITH d AS (UPDATE exportd.deliveries SET give_up_at = $3::bigint WHERE id = $1::text"
        " RETURNING sequence, id, channel)"
        " INSERT INTO exportd.outbox AS o (sequence, id, channel, next_at) SELECT sequence, id, channel, $2::bigint"
        " FROM d ON CONFLICT (sequence) DO UPDATE SET dead = false, next_at = excluded.next_at",
};
