/** Runs in the place of a worker and never says that it is ready. */
process.stdin.resume()
