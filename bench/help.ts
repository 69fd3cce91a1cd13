export const HELP = `usage: npm run bench -- [options]

Measures this registry, started over an empty folder, and any peers beside it; writes docs/performance.md.

  --target NAME=URL      a peer, such as registry-3.1.1=http://127.0.0.1:5001
  --spawn NAME=COMMAND   starts and stops that peer, which makes cold starts and memory comparable
  --pid NAME=PID         the process of a peer that runs already, for processor time and memory (children included)
  --auth NAME=USER:PASSWORD
  --ours NAME=VARIABLES  this registry once more under that name, with other settings of its own: variables of the
                         environment, such as 'REGISTRY_STORAGE_FILESYSTEM_FSYNC=false GUNICORN_WORKERS=1'
  --part NAME=A,B        that target takes part only in workloads whose names begin so
  --base NAME            the peer that ours is divided by; the best of them otherwise
  --growth               measures how costs grow, in place of comparing
  --full                 longer samples, more rounds, 10,000 tags and 5,000 repositories
  --v1                   the V1 workloads as well, on those who speak it;  --v1-only: nothing else
  --only A,B  --skip A,B workloads (or series) whose names begin so; prints, and writes no page
  --workers N            of our server; one for each processor otherwise
  --no-fsync             ours does not flush to disk
  --folder PATH          where our store is made; the folder for temporary files otherwise
  --rounds N --seconds S --big 256M --tags N --repositories N --pushes N
  --nice N               priority of the benchmark and of what it starts (negative for root, on a busy machine)
  --check-client         compares this load generator with wrk on the first target, and goes on
  --goals FILE           says which goals are met, such as those of bench/goals.json; ends with 3 when one is missed
  --json FILE            everything that was measured
  --no-write             only prints
  --list                 the workloads`;
