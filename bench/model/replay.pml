/*
 * The model as a judge of one trace: what a job's events say, transaction by transaction. A step that writes an event goes
 * on only when it writes the next one of the trace; what writes none is free. The trace comes from the file that the
 * environment variable TRACE names: numbers, made by bench/model/replay.py.
 *
 * A region's free steps concern nobody else's, so they are taken only when the next transaction is about that region.
 */

c_decl {
  static int trace[4096], length, regions, needed, units[8], furthest;

  static void tell(void) { printf("furthest %d\n", furthest); }

  static void load(void) {
    FILE *file = fopen(getenv("TRACE"), "r");
    int i;
    if (!file || fscanf(file, "%d %d", &regions, &needed) != 2) { puts("no trace"); exit(2); }
    for (i = 0; i < regions; i++) if (fscanf(file, "%d", &units[i]) != 1) { puts("no trace"); exit(2); }
    while (length < 4096 && fscanf(file, "%d", &trace[length]) == 1) length++;
    fclose(file);
    atexit(tell);
  }

  /* The regions that the transaction at `at` is about. */
  static int regions_of(int at) {
    int found = 0;
    for (; at < length && trace[at]; at++) if (trace[at] / 1024 < 7) found |= 1 << trace[at] / 256 % 4;
    return found;
  }
}

bit ready, refused, wrote;
short at, code;
byte wanted, nr, needed_regions, before[R];

#define GO (ready && !refused)
#define REGIONS nr
#define ANSWERS A
#define NEEDED needed_regions
#define MAY_CRASH true
#define ONE_FOR_ALL true   /* one answer stands for all of its unit: a usable one may be stored before the unit is recorded */
#define CRASHED skip
#define about(r) ((wanted >> (r)) & 1)
#define earlier(r) before[r]
#define granted(r) before[r] = before[r] + attempt[r]

inline event(type, region, unit, detail) {
  code = (((type) * 4 + (region)) * 16 + (unit) % U) * 16 + (detail);
  c_code {
    if (!now.refused) {
      if (now.at < length && trace[now.at] == now.code) {
        if (++now.at > furthest) furthest = now.at;
        now.wrote = 1;
      } else now.refused = 1;
    }
    now.code = 0;
  }
}

inline committed() {
  c_code {
    if (now.wrote && !now.refused) {
      if (now.at == length) { puts("accepted"); exit(0); }
      if (trace[now.at]) now.refused = 1;
      else now.wanted = regions_of(++now.at);
    }
    now.wrote = 0;
  }
}

inline begin() {
  c_code {
    load();
    now.nr = regions; now.needed_regions = needed;
    now.wanted = regions_of(0);
    if (!length) { puts("accepted"); exit(0); }
  };
  for (i : 0 .. R - 1) {
    newest[i] = (i < nr -> WAITING : 0);
    for (j : 0 .. U - 1) {
      c_code { now.code = units[i]; };
      execution[i * U + j] = (i < nr && j < code -> 0 : NO_UNIT)
    }
  }
  code = 0;
  ready = 1
}
