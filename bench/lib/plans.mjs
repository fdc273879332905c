import { CONTESTANTS } from './contestants/contestants.mjs';

/** A link on which a queue that grows can be seen: what is asked of pings under load. */
const RATE = { rtt: 0, loss: 0, rate: 100 };
/** A link that is far and loses packets: what a carrier over TCP is for. */
const LOSS = { rtt: 40, loss: 1, rate: 0 };
/** Nobody else is compared with there, and a minute of each would make it long. */
const ON_LOSS = ['wirestream-tcp', 'wirestream-records', 'wirestream-udp', 'wireguard-go'];
/** Who is left out of a quick run, on which link. */
const NOT_QUICK = { rate: ['openvpn'], loss: ['wireguard-go'] };

/** What is to be measured, part by part. @param {ReturnType<typeof import('./options.mjs').parseOptions>} options */
export function plans(options) {
  const contestants = CONTESTANTS.filter(({ id }) => options.only.includes(id));
  const { seconds, idleSeconds, flows } = options;
  const common = { contestants, seconds, idleSeconds, flows };
  if (options.shapes !== null) {
    return options.shapes.map((shape, i) => {
      // Pings come slower from further away, and congestion windows take longer to grow.
      const far = shape.rtt > 0;
      const part = isJudgedRate(shape) ? 'rate' : isJudgedLoss(shape) ? 'loss' : `link${i + 1}`;
      return { ...common, part, name: part, shape, rounds: options.shapeRounds, seconds: far ? 2 * seconds : seconds };
    });
  }
  return [
    { ...common, part: 'direct', name: 'bare link', shape: null, rounds: options.rounds },
    { ...common, part: 'rate', name: 'slow link', shape: RATE, rounds: options.shapeRounds, flows: flows.slice(0, 1) },
    {
      ...common,
      part: 'loss',
      name: 'lossy link',
      shape: LOSS,
      rounds: options.lossRounds,
      seconds: options.lossSeconds,
      flows: flows.slice(0, 1),
      contestants: contestants.filter(({ id }) => ON_LOSS.includes(id)),
    },
  ]
    .map((plan) => (options.quick ? { ...plan, contestants: quick(plan) } : plan))
    .filter((plan) => plan.contestants.length > 0);
}

const quick = ({ part, contestants }) => contestants.filter(({ id }) => !NOT_QUICK[part]?.includes(id));
const isJudgedRate = ({ rate, loss, rtt }) => rate === RATE.rate && loss === 0 && rtt === 0;
const isJudgedLoss = ({ rate, loss, rtt }) => rate === 0 && loss === LOSS.loss && rtt === LOSS.rtt;
