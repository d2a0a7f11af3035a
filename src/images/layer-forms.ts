import type { LayerForm } from "../kernel/kernel.ts";

/** In which forms layers are kept and can be used on this host. Decided at start-up. */
export interface LayerForms {
  /** Of new layers; those of artifacts are directories always. */
  readonly form: LayerForm;
  /** Why it is that one. */
  readonly reason: string;
  /** Why layers in the erofs form cannot be used here; "": they can. */
  readonly erofsMissing: string;
}

/** Damage of layers that only another kernel or configuration can use begins with it. */
const unusable = "its form cannot be used on this host: ";

/** The damage of a layer in the erofs form where those cannot be used; "" where they can. */
export function unusableForm({ erofsMissing }: Pick<LayerForms, "erofsMissing">): string {
  return erofsMissing === "" ? "" : `${unusable}${erofsMissing}`;
}

/** Whether it was only the host: such damage goes when the host can use the form again. */
export function isUnusableForm(damage: string): boolean {
  return damage.startsWith(unusable);
}
