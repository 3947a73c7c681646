// Curves as the server keeps them: buckets of one or more points. Nothing here knows the page.

const COLUMNS = ["count", "step", "mean", "low", "high"];

// What the server says of a curve takes the place of the buckets from `at` on.
export function spliced(curve, { at, ...news }) {
  const result = {};
  for (const name of COLUMNS) {
    // One point a bucket: the lowest and the highest are the point itself.
    const added = news[name] ?? news.mean;
    result[name] = at === 0 ? added : curve[name].slice(0, at).concat(added);
  }
  return result;
}

// Exponential moving average over points, without a bias towards 0 at the start. A bucket of n points
// moves it as n points of its mean would, so that smoothing means the same in a short and a long log.
export function smoothed({ count, mean }, weight) {
  let average = 0;
  let share = 0;
  return mean.map((value, number) => {
    const kept = weight ** count[number];
    average = kept * average + (1 - kept) * value;
    share = kept * share + (1 - kept);
    return average / share;
  });
}

// Number of the bucket whose step is nearest.
export function nearest({ step }, wanted) {
  let [low, high] = [0, step.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (step[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low > 0 && wanted - step[low - 1] < step[low] - wanted ? low - 1 : low;
}
