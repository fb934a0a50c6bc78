/*
 * The life of one job's region runs, for SPIN. One transition is one committed transaction, or one step outside of the
 * database (a push to Redis, a message taken, an answer of a provider, a crash). Its comment names the statement or the
 * verb of the product. `python -m bench.model` gives the sizes, the bounds and the mutants with -D; docs/model.md
 * explains them, and what is left out.
 *
 * A verb that begins with jobs.lock is one step that waits while somebody has that lock, because no other transaction
 * sees it half done. Two verbs are more steps: record, whose statements see what was committed before each of them, and
 * the look for lost messages, which asks Redis before it locks anything.
 */

#ifndef R        /* regions of the job */
#define R 1
#endif
#ifndef U        /* units (models) of a region */
#define U 1
#endif
#ifndef A        /* answers of a unit */
#define A 2
#endif
#ifndef W        /* workers; worker w serves region w modulo R */
#define W 2
#endif
#ifndef P        /* publishers */
#define P 2
#endif
#ifndef MIN_REGIONS
#define MIN_REGIONS R
#endif
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 2
#endif
#ifndef CRASHES  /* kills and stops, of workers, publishers and the sweeper together */
#define CRASHES 2
#endif
#ifndef EMPTIED  /* how often Redis is emptied */
#define EMPTIED 1
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef DEADS    /* messages that are given up */
#define DEADS 0
#endif
#ifndef TIMEOUTS /* regions whose time in the queue ends */
#define TIMEOUTS 0
#endif

/* jobs.status */
#define QUEUED 0
#define RUNNING 1
#define COMPLETED 2
#define FAILED 3
#define CANCELLED 4
#define OPEN (status < COMPLETED)
/* executions.status: 0 while there is no row, else COMPLETED, FAILED, CANCELLED; NO_UNIT where the plan has no unit */
#define NO_UNIT 9
/* answers.status: 0 while there is no row */
#define STARTED 1
#define OK 2
#define BAD 3
/* the newest outbox row of a region */
#define WAITING 1   /* processed_at and dead_at are null */
#define SENT 2      /* processed_at is set */
#define DEAD 3      /* dead_at is set */

byte status;                 /* jobs.status */
bit cancelled;               /* jobs.cancelled_at is set */

bit has_run[R];              /* region_runs has the row */
byte attempt[R];             /* attempts since the last retry, of MAX_ATTEMPTS */
byte lease[R];               /* lease_token: whose, worker + 1 */
bit expired[R];              /* lease_expires_at has passed */
bit finished[R];             /* finished_at is set */
bit overdue[R];              /* the time in the queue is over: queued_until, or as long after the last claim */

byte execution[R * U];
byte answer[R * U * A];
byte asked_by[R * U * A];    /* answers.attempt, as the worker that made it, + 1: who asked last, whose answer it is */

byte newest[R] = WAITING;
bit pushing[R];              /* a publisher has pushed the newest row and has not marked it yet: it holds the row's lock */
bit pushed_id[R];            /* and its message is still in the queue */
bit queued[R];               /* the newest row was sent, and its dispatch id is in the queue */
bit overtaken[R];            /* another publisher is still pushing a row that is not the newest any more */
bit stale[R];                /* the queue has other ids of this region; an older row that waits counts as one */

byte crashes, emptied, retries, cancels, deads, timeouts; /* faults and actions so far */

#ifdef UNCOUNTED
byte claimed[R];
#define claims(r) claimed[r]
#else
#define claims(r) 0
#endif

/* Never set: an assertion that fails is printed with the name of its invariant. */
hidden byte I1, I2, I3, I4, I5, I6;

hidden byte i, j, n, n_finished, n_touched, n_good, v, view;

/* job_events.type, and the details that matter */
#define REGION_CLAIMED 1
#define REGION_RELEASED 2
#define LEASE_EXPIRED 3
#define REGION_STAGED 4
#define EXECUTION_RECORDED 5
#define REGION_FINISHED 6
#define CANCEL_REQUESTED 7
#define RETRY_REQUESTED 8
#define JOB_STATUS 9
#define WHY_RELEASED 1
#define WHY_EXPIRED 2
#define WHY_LOST 3
#define WHY_RETRY 4

#define say(words) printf(words, _pid)   /* told on the way to what is found; no part of a state */

#ifdef REPLAY
#include "replay.pml"
#else
#define event(type, region, unit, detail) skip
#define committed() skip
#define granted(region) skip
#define earlier(region) 0
#define about(region) true
#define REGIONS R
#define ANSWERS A
#define NEEDED MIN_REGIONS
#define MAY_CRASH (crashes < CRASHES)
#define ONE_FOR_ALL false
#define CRASHED crashes++
#define GO true
#endif

#define FIRST(r) ((r) * U)                       /* the units of a region are FIRST(r) to FIRST(r + 1) - 1 */
#define CALL(u, k) ((u) * A + (k))
#define MISSING(u) (execution[u] == 0)

/* What a worker knows of a call. The last three need no call. */
#define UNASKED 0
#define ASKED 1      /* the request is on its way */
#define GOOD 2       /* answered, and written with the next transaction */
#define WRONG 3      /* failed for good, or the deadline has passed */
#define KNOWN_GOOD 4 /* stored by an earlier attempt */
#define KNOWN_BAD 5
#define RECORDED 6   /* its unit has an execution */
/* Where a worker is. */
#define IDLE 0
#define TAKEN 1      /* has a message out of Redis */
#define RUN 2        /* has claimed: it holds a token, live or not */
#define WAITS 3      /* (a mutant) its record waits for the job's lock, with a snapshot that was taken before */

byte places[W];
#define place places[_pid]
byte calls[W * U * A];
#define call(x) calls[_pid * U * A + (x)]
#define me (_pid + 1)
#define mine (_pid % R)

/* The verbs' tails. Each expects the job's lock, as in the product. */

inline usable(u) {            /* n = answers of the unit that are usable */
  n = 0;
  for (j : 0 .. ANSWERS - 1) {
    if
    :: answer[CALL(u, j)] == OK -> n++
    :: else
    fi
  }
}

inline missing_units(r) {     /* n = planned units of the region without an execution */
  n = 0;
  for (j : FIRST(r) .. FIRST(r + 1) - 1) {
    if
    :: MISSING(j) -> n++
    :: else
    fi
  }
}

hidden byte u1;
inline end_units(r, final) {  /* end_units(): a row for every planned unit that has none; usable answers are kept */
  has_run[r] = 1;
  for (u1 : FIRST(r) .. FIRST(r + 1) - 1) {
    if
    :: MISSING(u1) ->
      usable(u1);
      execution[u1] = (final == FAILED && n > 0 -> COMPLETED : final);
      event(EXECUTION_RECORDED, r, u1, execution[u1])
    :: else
    fi
  }
}

inline close_regions() {      /* close_regions(): every planned unit has an execution */
  for (i : 0 .. REGIONS - 1) {
    missing_units(i);
    if
    :: has_run[i] && !finished[i] && n == 0 ->
      finished[i] = 1; lease[i] = 0; expired[i] = 0; overdue[i] = 0;
      event(REGION_FINISHED, i, 0, 0)
    :: else
    fi
  }
}

inline regions_finished() {   /* view = the finished regions, a bit each, as a statement that begins now sees them */
  view = 0;
  for (i : 0 .. REGIONS - 1) {
    if
    :: finished[i] -> view = view | (1 << i)
    :: else
    fi
  }
}

inline verdict() {            /* job_verdicts: v = the status that regions, executions and the cancellation say */
  n_finished = 0; n_touched = 0; n_good = 0;
  for (i : 0 .. REGIONS - 1) {
    n_touched = n_touched + has_run[i];
    if
    :: (view >> i) & 1 ->
      n_finished++;
      n = 0;
      for (j : FIRST(i) .. FIRST(i + 1) - 1) {
        if
        :: execution[j] == COMPLETED -> n = 1
        :: else
        fi
      }
      n_good = n_good + n
    :: else
    fi
  }
  v = (cancelled -> CANCELLED : (n_finished < REGIONS -> (n_touched > 0 -> RUNNING : QUEUED) :
       (n_good >= NEEDED -> COMPLETED : FAILED)))
}

inline close_jobs() {         /* close_jobs(), with what its snapshot `view` shows */
  verdict();
  if
  :: OPEN && v != status -> status = v; event(JOB_STATUS, 0, 0, v)
  :: else
  fi
}

inline stage(r, reason) {     /* outbox.stage: a new row; what was the newest one is an older one now */
  if
  :: newest[r] == WAITING && pushing[r] -> overtaken[r] = 1; stale[r] = stale[r] || pushed_id[r]; pushing[r] = 0; pushed_id[r] = 0
  :: newest[r] == WAITING && !pushing[r] -> stale[r] = 1
  :: newest[r] == SENT && queued[r] -> stale[r] = 1; queued[r] = 0
  :: else
  fi;
  newest[r] = WAITING;
  event(REGION_STAGED, r, 0, reason)
}

#define DOOMED(r) (!finished[r] && lease[r] == 0 \
                   && ((has_run[r] && attempt[r] >= MAX_ATTEMPTS) || newest[r] == DEAD || overdue[r]))

inline end_doomed() {         /* sweep.doomed, sweep.end; view = the regions that ended, a bit each */
  view = 0;
  for (i : 0 .. REGIONS - 1) {
    if
    :: DOOMED(i) -> view = view | (1 << i); end_units(i, FAILED)
    :: else
    fi
  }
}

/* Nothing of this region can change any more: no retry is left for it. */
#define FAILED_UNIT(r) (execution[FIRST(r)] == FAILED || execution[FIRST(r) + (U > 1)] == FAILED)
#define OVER(r) (finished[r] && (cancelled || retries == RETRIES || !FAILED_UNIT(r)))

inline no_more_messages() {   /* messages that could only be refused make no other state */
  for (i : 0 .. REGIONS - 1) {
    if
    :: OVER(i) ->
      newest[i] = 0; pushing[i] = 0; pushed_id[i] = 0; queued[i] = 0; overtaken[i] = 0; stale[i] = 0
    :: else
    fi
  }
}

/* A worker whose lease is gone can write one thing: a late answer to a question that nobody has asked again. What else it
   remembers makes no other state. (The mutants without a fence remember all of it.) */
hidden byte w, x;
inline lost_runs() {
#if !defined(NO_FENCE) && !defined(LATE_ANSWER)
  for (w : 0 .. W - 1) {
    if
    :: places[w] == RUN && lease[w % R] != w + 1 ->
      n = 0;
      for (x : 0 .. U * A - 1) {
        if
        :: calls[w * U * A + x] == ASKED && !finished[w % R] && asked_by[FIRST(w % R) * A + x] == w + 1 &&
           answer[FIRST(w % R) * A + x] != OK -> n = 1
        :: else ->
          calls[w * U * A + x] = UNASKED;
          asked_by[FIRST(w % R) * A + x] = (asked_by[FIRST(w % R) * A + x] == w + 1 -> 0 : asked_by[FIRST(w % R) * A + x])
        fi
      }
      places[w] = (n -> RUN : IDLE)
    :: else
    fi
  }
#endif
  skip
}

inline end_transaction() {    /* the end of every transaction */
  regions_finished();
  verdict();
  assert(status == v || I5);
  for (i : 0 .. REGIONS - 1) {
    assert(attempt[i] <= MAX_ATTEMPTS && claims(i) <= MAX_ATTEMPTS || I6);
    missing_units(i);
    assert(!finished[i] || n == 0 || I5);                                   /* no finished region without its rows */
    assert(finished[i] || lease[i] != 0 || newest[i] != 0 || I1)            /* a message or a run for every region */
  }
  no_more_messages();
  lost_runs();
  committed()
}

#define to_call(k) (FIRST(mine) * A + (k))

inline forget() {             /* a run that is dropped, or a process that starts anew */
  for (i : 0 .. U * A - 1) {
    call(i) = UNASKED;
    asked_by[to_call(i)] = (asked_by[to_call(i)] == me -> 0 : asked_by[to_call(i)])
  }
#ifdef RECOUNT
  seen = 0;
#endif
  place = IDLE
}

#ifdef AFTER_RECORD
#define STILL_OPEN(u) true
#else
#define STILL_OPEN(u) MISSING(u)
#endif
#ifdef LATE_ANSWER
#define MAY_FINISH(k) true
#else
#define MAY_FINISH(k) (lease[mine] == me || (asked_by[to_call(k)] == me && STILL_OPEN(FIRST(mine) + (k) / A)))
#endif
inline finish_answer(k) {     /* answers.finish, for one call */
  if
  :: call(k) == GOOD && !finished[mine] && answer[to_call(k)] != 0 && answer[to_call(k)] != OK && MAY_FINISH(k) ->
     answer[to_call(k)] = OK; asked_by[to_call(k)] = me;
     assert(MISSING(FIRST(mine) + (k) / A) || I3)
  :: call(k) == WRONG && !finished[mine] && answer[to_call(k)] == STARTED && lease[mine] == me -> answer[to_call(k)] = BAD
  :: else
  fi
}

hidden byte c, b;
inline begun() {              /* b = has this run sent a request? */
  b = 0;
  for (i : 0 .. U * A - 1) {
    if
    :: call(i) == ASKED || call(i) == GOOD || call(i) == WRONG -> b = 1
    :: else
    fi
  }
}

inline release() {            /* region_runs.release, outbox.stage: the verb of a stop */
  begun();
  if
  :: lease[mine] == me && !finished[mine] ->
    lease[mine] = 0; expired[mine] = 0;
    attempt[mine] = attempt[mine] - (b -> 0 : 1);
    event(REGION_RELEASED, mine, 0, b);
    stage(mine, WHY_RELEASED);
    end_transaction()
  :: else
  fi
}

/* A unit has all its answers and no execution of this run yet; some unit has, or nothing is left to do. */
#define HAS(x) (call(x) >= GOOD && call(x) != RECORDED)
#define WHOLE(x) (HAS((x) * A) && (A == 1 || HAS((x) * A + (A > 1))))
#define NOTHING_LEFT (call(0) == RECORDED && call(U * A - 1) == RECORDED)
#define COMPLETE (WHOLE(0) || (U > 1 && WHOLE(U > 1)) || NOTHING_LEFT)

#ifdef NO_FENCE
#define FENCE true
#else
#define FENCE (lease[mine] == me)
#endif
/* A usable answer is stored that this run does not know: another one's, late. */
#define UNKNOWN(k) (answer[to_call(k)] == OK && call(k) != GOOD && call(k) != KNOWN_GOOD)
#ifdef LEFT_OUT
#define KNOWS_ALL(x) true
#else
#define KNOWS_ALL(x) (!UNKNOWN((x) * A) && (A == 1 || !UNKNOWN((x) * A + (A > 1))))
#endif

inline record() {             /* executions.record, for every unit that is complete */
  for (u1 : 0 .. U - 1) {
    if
    :: WHOLE(u1) && MISSING(FIRST(mine) + u1) && !finished[mine] && FENCE && KNOWS_ALL(u1) ->
      execution[FIRST(mine) + u1] = FAILED;
      for (c : u1 * A .. u1 * A + ANSWERS - 1) {
        /* The answers of an execution are the stored ones, and no stored one is left out of it. */
        assert(call(c) != GOOD || (answer[to_call(c)] == OK && asked_by[to_call(c)] == me) || I3);
        assert(call(c) != KNOWN_GOOD || answer[to_call(c)] == OK || I3);
        assert(!UNKNOWN(c) || I3);
        if
        :: call(c) == GOOD || call(c) == KNOWN_GOOD -> execution[FIRST(mine) + u1] = COMPLETED
        :: else
        fi
      }
      event(EXECUTION_RECORDED, mine, FIRST(mine) + u1, execution[FIRST(mine) + u1])
    :: else
    fi;
    if
    :: WHOLE(u1) ->
      for (c : u1 * A .. u1 * A + A - 1) { call(c) = RECORDED }
    :: else
    fi
  }
}

active [W] proctype Worker() provided (GO) {
#ifdef RECOUNT
  byte seen;
#endif
end:
  do
  /* BLMOVE, TAKE: a message leaves the queue, whichever is at its head. */
#define IDLE_FIRST (_pid < R || places[_pid - (_pid >= R) * R] != IDLE)   /* idle workers of a region are alike */
  :: d_step { place == IDLE && IDLE_FIRST && about(mine) && queued[mine] ->
       say("%d: takes the newest message\n"); queued[mine] = 0; place = TAKEN }
  :: d_step { place == IDLE && IDLE_FIRST && about(mine) && stale[mine] ->
       say("%d: takes another message\n"); stale[mine] = 0; place = TAKEN }
  :: d_step { place == IDLE && IDLE_FIRST && about(mine) && pushed_id[mine] ->
       say("%d: takes a message that is not marked yet\n"); pushed_id[mine] = 0; place = TAKEN }

  /* C1: jobs.lock, region_runs.claim, region_runs.stored. */
  :: d_step { place == TAKEN && about(mine) && OPEN && !finished[mine] &&
              (!has_run[mine] || attempt[mine] < MAX_ATTEMPTS) && (lease[mine] == 0 || expired[mine]) ->
                   say("%d: claims\n");
       has_run[mine] = 1;
#ifdef UNCOUNTED
       claimed[mine]++;                   /* and the attempt counts when it ends well, or not at all */
#else
       attempt[mine]++;
#endif
       lease[mine] = me; expired[mine] = 0; overdue[mine] = 0;
       status = RUNNING;
       event(REGION_CLAIMED, mine, 0, attempt[mine] + earlier(mine));
       place = RUN;
       for (i : 0 .. U * A - 1) {
         call(i) = (!MISSING(FIRST(mine) + i / A) -> RECORDED :
                    (answer[to_call(i)] == OK -> KNOWN_GOOD : (answer[to_call(i)] == BAD -> KNOWN_BAD : UNASKED)))
       }
       end_transaction() }
  /* No row: the job has ended, somebody holds the region, or its attempts are used up. The message goes. */
  :: d_step { place == TAKEN && about(mine) &&
              !(OPEN && !finished[mine] && (!has_run[mine] || attempt[mine] < MAX_ATTEMPTS) &&
                   (lease[mine] == 0 || expired[mine])) -> say("%d: finds nothing to claim\n"); forget() }

  /* answers.start, for one call: the lease is ours, and the question has no answer. */
#define BEFORE(k) (k == 0 || call(k - (k > 0)) != UNASKED)   /* in the order of the plan */
#define START(k) \
  d_step { place == RUN && about(mine) && call(k) == UNASKED && BEFORE(k) && lease[mine] == me && answer[to_call(k)] <= STARTED -> \
       say("%d: starts a call\n"); \
    answer[to_call(k)] = STARTED; asked_by[to_call(k)] = me; call(k) = ASKED }
  /* It has one: somebody who held the region before has stored it meanwhile. The run is handed back. */
#define START_REFUSED(k) \
  d_step { place == RUN && about(mine) && call(k) == UNASKED && lease[mine] == me \
           && answer[to_call(k)] > STARTED -> \
                say("%d: may not start a call: its answer is there; releases\n"); release(); forget() }
  /* The provider has answered: answers.finish, unless the record that follows writes it too. */
#define ANSWER(k, how) \
  d_step { place == RUN && about(mine) && call(k) == ASKED && (how == GOOD || lease[mine] == me) -> \
       say("%d: has an answer\n"); \
    call(k) = how; \
    if \
    :: !COMPLETE || lease[mine] != me || ONE_FOR_ALL -> finish_answer(k) \
    :: else \
    fi; \
    lost_runs() }
  :: START(0)
  :: START_REFUSED(0)
  :: ANSWER(0, GOOD)
  :: ANSWER(0, WRONG)
#if U * A > 1
  :: START(1)
  :: START_REFUSED(1)
  :: ANSWER(1, GOOD)
  :: ANSWER(1, WRONG)
#endif
#if U * A > 2
  :: START(2)
  :: START_REFUSED(2)
  :: ANSWER(2, GOOD)
  :: ANSWER(2, WRONG)
  :: START(3)
  :: START_REFUSED(3)
  :: ANSWER(3, GOOD)
  :: ANSWER(3, WRONG)
#endif
#ifndef REPLAY
  /* The deadline: what has no answer is a timeout. */
  :: d_step { place == RUN && about(mine) && !COMPLETE && lease[mine] == me -> say("%d: meets the deadline\n");
       for (i : 0 .. U * A - 1) { call(i) = (call(i) < GOOD -> WRONG : call(i)) }
       skip }
#endif

  /* C2, record: jobs.lock, region_runs.hold, answers.finish, executions.record, region_runs.close, jobs.close. */
#ifdef RECOUNT
  :: d_step { place == RUN && COMPLETE ->
       say("%d: begins the statement that locks and counts\n"); regions_finished(); seen = view; place = WAITS }
  :: d_step { place == WAITS -> say("%d: records\n");
#else
  :: d_step { place == RUN && about(mine) && COMPLETE -> say("%d: records\n");
#endif
       for (c : 0 .. U * A - 1) { finish_answer(c) }
       record();
       close_regions();
       regions_finished();
#ifdef RECOUNT
       view = seen | (finished[mine] << mine);
#endif
       close_jobs();
       place = RUN;
       end_transaction();
       if
       :: lease[mine] != me -> forget()   /* finished, or fenced */
       :: lease[mine] == me && NOTHING_LEFT -> release(); forget()   /* a unit was not recorded: back, with what is stored */
       :: else
       fi }

  /* region_runs.beat: in time it is the absence of an expiry; late, but before the sweeper, it saves the lease. */
  :: place == RUN && about(mine) && lease[mine] == me && expired[mine] ->
progress_beat:
       expired[mine] = 0
  /* region_runs.lost: the run is dropped. What its calls still bring is in ANSWER of a worker that has not noticed. */
  :: d_step { place == RUN && about(mine) && lease[mine] != me ->
       say("%d: is told that its lease is lost\n"); forget() }

  /* SIGTERM: what was taken goes back to the queue, what was claimed is released. */
  :: d_step { place == TAKEN && about(mine) && MAY_CRASH -> say("%d: gets SIGTERM with a message\n");
       stale[mine] = 1; CRASHED; forget() }
  :: d_step { place == RUN && about(mine) && MAY_CRASH ->
       say("%d: gets SIGTERM and releases\n"); CRASHED; release(); forget() }
  /* SIGKILL: memory is lost, an open transaction is rolled back. */
  :: d_step { place != IDLE && about(mine) && MAY_CRASH -> say("%d: gets SIGKILL\n"); CRASHED; forget() }
  od
}

/* Publishers have no memory beyond a transaction: what P of them are doing is in `pushing` and `overtaken`. */
#define BUSY (pushing[0] + overtaken[0] + (R > 1) * (pushing[(R > 1)] + overtaken[(R > 1)]) + \
              (R > 2) * (pushing[(R > 2) * 2] + overtaken[(R > 2) * 2]))

active proctype Publisher() provided (GO) {
end:
  do
#ifdef AT_ONCE
  /* B as one step, for a configuration that is about something else. */
#define PUSH_AND_MARK(r) d_step { newest[r] == WAITING && about(r) -> \
     say("%d: pushes and marks\n"); newest[r] = SENT; queued[r] = 1 }
#define PUSH_AND_KILL(r) d_step { newest[r] == WAITING && about(r) && !stale[r] && MAY_CRASH -> \
     say("%d: is killed between push and mark\n"); CRASHED; stale[r] = 1 }
#define GIVE_UP(r) d_step { newest[r] == WAITING && about(r) && deads < DEADS -> \
     say("%d: gives the message up\n"); deads++; newest[r] = DEAD }
#define PUBLISH(r) :: PUSH_AND_MARK(r) :: PUSH_AND_KILL(r) :: GIVE_UP(r)
#else
  /* B: outbox.claim (SKIP LOCKED), push. */
#define PUSH(r) \
  d_step { about(r) && BUSY < P && newest[r] == WAITING && !pushing[r] -> \
       say("%d: pushes\n"); pushing[r] = 1; pushed_id[r] = 1 }
  /* B: outbox.mark, COMMIT. */
#define MARK(r) \
  d_step { pushing[r] && about(r) -> \
       say("%d: marks\n"); newest[r] = SENT; queued[r] = pushed_id[r]; pushing[r] = 0; pushed_id[r] = 0 }
#define MARK_OLDER(r) d_step { overtaken[r] && about(r) -> \
     say("%d: marks a row that is not the newest any more\n"); overtaken[r] = 0 }
  /* SIGKILL between push and commit: the row waits again, its message stays in Redis under an id that no row knows. */
#define PUSH_KILLED(r) \
  d_step { pushing[r] && about(r) && MAY_CRASH -> say("%d: is killed between push and mark\n"); \
    CRASHED; stale[r] = stale[r] || pushed_id[r]; pushing[r] = 0; pushed_id[r] = 0 }
#define OLDER_KILLED(r) d_step { overtaken[r] && about(r) && MAY_CRASH -> \
     say("%d: is killed between push and mark of an older row\n"); CRASHED; overtaken[r] = 0; stale[r] = 1 }
  /* outbox.fail, the last one: the message is dead. */
#define GIVE_UP(r) \
  d_step { about(r) && BUSY < P && newest[r] == WAITING && !pushing[r] && deads < DEADS -> \
       say("%d: gives the message up\n"); deads++; newest[r] = DEAD }
#define PUBLISH(r) :: PUSH(r) :: MARK(r) :: MARK_OLDER(r) :: PUSH_KILLED(r) :: OLDER_KILLED(r) :: GIVE_UP(r)
#endif
  PUBLISH(0)
#if R > 1
  PUBLISH(1)
#endif
#if R > 2
  PUBLISH(2)
#endif
  od
}

/*
 * sweep, its look for lost messages. The product looks at messages that were sent two leases ago, and at all of them when
 * the sentinel says that Redis was emptied. Nothing here says how long something takes, so both are one. It asks Redis
 * before it locks the jobs: an id that was not there does not come back, and a row that was sent since is not meant.
 */
#ifdef BY_PROCESSED_AT
#define SILENT(r) (newest[r] == WAITING && !pushing[r] && !stale[r] && !finished[r] && lease[r] == 0)
#define LOST(r) SILENT(r)
#else
#define LOST(r) (newest[r] == SENT && !queued[r] && !finished[r] && lease[r] == 0)
#endif
#define ANY(what) (what(0) || (R > 1 && what((R > 1))) || (R > 2 && what((R > 2) * 2)))

active proctype Messages() provided (GO) {
end:
  do
  /* Broker.queued_ids, sweep.page (SKIP LOCKED), sweep.doomed, sweep.end, sweep.silent, outbox.stage, close. */
  :: d_step { OPEN && (ANY(DOOMED) || ANY(LOST)) ->
       say("%d: look for lost messages: end what is doomed, stage what is lost\n");
       end_doomed();
       n_touched = view;
       for (i : 0 .. REGIONS - 1) {
         if
         :: LOST(i) && !((n_touched >> i) & 1) -> stage(i, WHY_LOST)
         :: else
         fi
       }
       if
       :: n_touched -> close_regions(); regions_finished(); close_jobs()
       :: else
       fi;
       end_transaction() }
  od
}

/* sweep, its look at leases: another lock, so it may be another publisher's. */
active proctype Leases() provided (GO) {
end:
  do
  /* sweep.expired, sweep.lock, sweep.clear, sweep.doomed, sweep.end, outbox.stage, close. */
#define EXPIRED(r) (lease[r] != 0 && expired[r])
  :: d_step { OPEN && ANY(EXPIRED) -> say("%d: take back leases that ran out: end what is doomed, stage the others\n");
       n_finished = 0;
       for (i : 0 .. REGIONS - 1) {
         if
         :: EXPIRED(i) ->
           lease[i] = 0; expired[i] = 0; n_finished = n_finished | (1 << i);
           event(LEASE_EXPIRED, i, 0, attempt[i] + earlier(i))
         :: else
         fi
       }
       end_doomed();
       n_touched = n_finished & ~view;
       for (i : 0 .. REGIONS - 1) {
         if
         :: (n_touched >> i) & 1 -> stage(i, WHY_EXPIRED)
         :: else
         fi
       }
       close_regions();
       regions_finished();
       close_jobs();
       end_transaction() }
  od
}

#define ALL_OVER (OVER(0) && (R == 1 || OVER(R > 1)) && (R < 3 || OVER((R > 2) * 2)))

/* Time, and what happens to Redis. */
active proctype World() provided (GO) {
end:
  do
#define EXPIRE(r) d_step { lease[r] != 0 && !expired[r] && about(r) -> say("%d: a lease runs out\n"); expired[r] = 1 }
#define OVERDUE(r) d_step { !finished[r] && lease[r] == 0 && !overdue[r] && timeouts < TIMEOUTS && about(r) -> \
     say("%d: the time in the queue is over\n"); \
                            timeouts++; overdue[r] = 1 }
  :: EXPIRE(0)
  :: OVERDUE(0)
#if R > 1
  :: EXPIRE(1)
  :: OVERDUE(1)
#endif
#if R > 2
  :: EXPIRE(2)
  :: OVERDUE(2)
#endif
  /* Redis is emptied. */
  :: d_step { emptied < EMPTIED && !ALL_OVER -> say("%d: Redis is emptied\n");
       for (i : 0 .. R - 1) { queued[i] = 0; stale[i] = 0; pushed_id[i] = 0 }
       emptied++ }
#ifndef REPLAY
  /* From here on nothing is broken and nobody asks for anything: what is left to do is the system's. */
  :: d_step { !ALL_OVER && (crashes < CRASHES || emptied < EMPTIED || retries < RETRIES || cancels < CANCELS || deads < DEADS ||
              timeouts < TIMEOUTS) -> say("%d: nothing is broken any more, and nobody asks for anything\n");
       crashes = CRASHES; emptied = EMPTIED; retries = RETRIES; cancels = CANCELS; deads = DEADS; timeouts = TIMEOUTS;
       no_more_messages();
       skip }
#endif
  od
}

/* The client. Its job was accepted: jobs.submit wrote the job and a message for every region. */
inline retry(only) {          /* reopen_units, jobs.reopen, outbox.stage; `only` is a region or REGIONS */
  retries++;
  n_touched = 0;
  for (i : 0 .. REGIONS - 1) {
    for (u1 : FIRST(i) .. FIRST(i + 1) - 1) {
      if
      :: finished[i] && execution[u1] == FAILED && (only == REGIONS || only == i) ->
        n_touched = n_touched | (1 << i);
        execution[u1] = 0;
        for (j : 0 .. ANSWERS - 1) {
          if
          :: answer[CALL(u1, j)] == BAD -> answer[CALL(u1, j)] = 0; asked_by[CALL(u1, j)] = 0
          :: else
          fi
        }
      :: else
      fi
    }
  }
  status = RUNNING;
  event(RETRY_REQUESTED, 0, 0, 0);
  for (i : 0 .. REGIONS - 1) {
    if
    :: (n_touched >> i) & 1 ->
      finished[i] = 0; granted(i); attempt[i] = 0; overdue[i] = 0;
      stage(i, WHY_RETRY)
    :: else
    fi
  }
  end_transaction()
}

#define RETRYABLE(r) (finished[r] && FAILED_UNIT(r))

#ifdef REPLAY
active proctype Begin() {
  d_step { begin() }
}
#endif

active proctype Client() provided (GO) {
end:
  do
  /* cancel_job: jobs.lock, jobs.cancel, cancel_units, jobs.close, outbox.withdraw (SKIP LOCKED). */
  :: d_step { cancels < CANCELS && OPEN -> say("%d: cancels\n");
       cancels++; cancelled = 1;
       event(CANCEL_REQUESTED, 0, 0, 0);
       for (i : 0 .. REGIONS - 1) {
         if
         :: !finished[i] -> end_units(i, CANCELLED)
         :: else
         fi
       }
       close_regions();
       regions_finished();
       close_jobs();
       for (i : 0 .. REGIONS - 1) {
         newest[i] = (pushing[i] -> WAITING : SENT)
       }
       end_transaction() }
  /* retry_job: all failed units, or one region's. */
  :: d_step { retries < RETRIES && !cancelled && ANY(RETRYABLE) ->
       say("%d: retries all that failed\n"); retry(REGIONS) }
#if R > 1
  :: d_step { retries < RETRIES && !cancelled && RETRYABLE(0) -> say("%d: retries region 0\n"); retry(0) }
  :: d_step { retries < RETRIES && !cancelled && RETRYABLE(1) -> say("%d: retries region 1\n"); retry(1) }
#endif
#if R > 2
  :: d_step { retries < RETRIES && !cancelled && RETRYABLE(2) -> say("%d: retries region 2\n"); retry(2) }
#endif
  od
}

#ifndef REPLAY
/* Every accepted job ends: where nothing is left to do, its job has ended. */
active proctype Accepted() {
  timeout -> assert(!OPEN || I2)
}
#endif
