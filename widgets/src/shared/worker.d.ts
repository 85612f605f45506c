/** The bundled code of a worker, as text: an ESM file of one piece has no second file to load it from. */
declare module "worker:*" {
  const source: string;
  export default source;
}
